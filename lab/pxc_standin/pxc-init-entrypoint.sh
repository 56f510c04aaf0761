#!/bin/bash
# Stands in for Percona's, which brings what only XtraDB needs as well.
set -e
cd / && install --mode=755 pxc-entrypoint.sh readiness-check.sh liveness-check.sh /var/lib/mysql
