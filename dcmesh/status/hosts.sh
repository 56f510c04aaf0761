# Asks hosts as a consumer does, all at once. Runs in the consumer's own container, behind host_protocols.sh.
# Arguments: HOST PORT KIND for each host. Prints for each "ok HOST PORT ANSWER" or "failed HOST PORT REASON".
set -uf # f: what a server says is no pattern of file names

# Not by echo, which may take what a server says for escape sequences.
line() { printf '%s\n' "$*"; }

while [ $# -gt 0 ]; do
  # unquoted: on one line
  (answer=$($ask "$1" "$2" "$3" 2>&1) && line ok "$1" "$2" $answer || line failed "$1" "$2" $answer) &
  shift 3
done
wait
