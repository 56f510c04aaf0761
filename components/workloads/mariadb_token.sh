# What says who may write: each server's row, and whether its server is open. The pods and the Job of a switchover ask so.
TOKEN="SELECT site, term, @@read_only FROM dcmesh.primary_site WHERE server_id = @@server_id"

# Reads `site`, `term` and `read_only` from what a server says; fails if that is no such thing.
read_token() {
  [[ $1 =~ ^([a-z0-9-]{1,63})$'\t'([0-9]{1,19})$'\t'([01])$ ]] || return 1
  site=${BASH_REMATCH[1]} term=${BASH_REMATCH[2]} read_only=${BASH_REMATCH[3]}
}
