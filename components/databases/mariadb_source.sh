# Whom this pod copies and follows, and as which user.
ordinal=${POD##*-} switchable= user=replication
if [ "$ordinal" -gt 0 ]; then # within a site all follow pod 0
  # By a password that no `up` changes: pod 0 is restarted last, and would not know a new one while another copies it.
  user=replication_local
  PRIMARY="${POD%-*}-0" SOURCE_SITE=$PRIMARY SOURCE_HOST="$PRIMARY.$DOMAIN" SOURCE_PORT=3306 SOURCE_COPY_PORT=${COPY_PORT-}
elif [ -z "$PRIMARY" ]; then # which site is the primary can change
  switchable=yes PRIMARY=$(cat /etc/dcmesh/role/primary)
fi
