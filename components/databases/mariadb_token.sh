# How a server is asked about who may write, and what is taken for its answer.
# What a server says is data, and may be another site's: it is what a pattern matches as a whole, or no answer.

# Leaves of what a client prints the number of its error. In a batch it prints the statement that fails, and that of a
# channel has its password.
only_error() {
  local line
  while IFS= read -r line; do
    if [[ $line =~ ^ERROR\ [0-9]+\ \([0-9A-Z]+\) ]]; then echo "${BASH_REMATCH[0]}"; fi
  done >&2
}

# Whether a server is closed. MariaDB says 1 or 0, and from 12.0.1 on a word. One that nobody knows counts as open.
CLOSED="CONCAT(@@GLOBAL.read_only) IN ('1', 'ON', 'NO_LOCK', 'NO_LOCK_NO_ADMIN')"

# What says who may write: each server's row, and whether its server is closed.
TOKEN="SELECT site, term, $CLOSED FROM dcmesh.primary_site WHERE server_id = @@server_id"

A_TERM='(0|[1-9][0-9]{0,14})' # with which bash can reckon, and after which more can be told

LIMIT=10 # seconds that the other site's server has for an answer: one that hangs is one that does not answer

# Runs a client, for that long: COMMAND.
limited() {
  timeout "$LIMIT" "$@" || { [ $? -ne 124 ] || echo "no answer within $LIMIT s" >&2; return 1; }
}

# Prints words as they may stand in a log and on a terminal: on one line.
printable() {
  local LC_ALL=C words=$*
  echo "${words//[^[:print:]]/?}"
}

# Asks a server: PATTERN WHOM SQL, where WHOM is own or theirs. Sets `answer`: to the answer if the pattern, an extended
# regular expression, matches it; else it fails, and `answer` is why. Of megabytes only the begin is read.
ask() {
  local most=16384 failed=
  answer=$("$2" "$3" 2>&1 | tr -d '\0' | head -c "$most") || failed=yes
  if [ -z "$failed" ] && [[ $answer =~ ^$1$ ]]; then
    return
  elif [ -z "$failed" ] || [ "${#answer}" -ge "$most" ]; then
    answer="says what cannot be: $answer"
  fi
  answer=$(printable "${answer:0:200}")
  return 1
}

# Asks a server for its `site`, `term` and `read_only`: WHOM [SQL].
ask_token() {
  ask "([a-z0-9-]{1,63})"$'\t'"$A_TERM"$'\t'"([01])" "$1" "${2:-$TOKEN}" || return 1
  site=${BASH_REMATCH[1]} term=${BASH_REMATCH[2]} read_only=${BASH_REMATCH[3]}
}
