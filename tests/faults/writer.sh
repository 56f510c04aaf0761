# Commits numbered rows, one at a time, through one long-lived client. Waits $REST seconds after each, or not at all. Runs in a
# pod of its own.
#
# Tells $LOG, or /log/writer, what happened, a line each, with the time in seconds since the epoch:
#   TIME N              row N is committed
#   TIME connected N    there is a new connection, on which the highest committed row is N
#   TIME lost WHY       the connection is lost; whether the row under way was committed is not known
#   TIME paused         since /log/pause is there
trap '' PIPE

tell() { printf '%s %s\n' "$EPOCHREALTIME" "$*" >>"${LOG:-/log/writer}"; }

connect() {
  "${CLIENT:-mariadb}" --host="$HOST" --user="$USER" --connect-timeout=3 --skip-reconnect --unbuffered --batch \
    --skip-column-names faults <"$pipes/to" >"$pipes/from" 2>&1 &
  client=$!
  exec 3>"$pipes/to" 4<"$pipes/from"
}

disconnect() {
  exec 3>&- 4<&-
  kill "$client"
  wait "$client"
} 2>/dev/null

# Gives the client a line of SQL; what it prints is the answer.
ask() {
  printf '%s\n' "$1" 2>/dev/null >&3
  answer="no answer in 15 seconds"
  IFS= read -r -t 15 answer <&4
}

pause() {
  tell paused
  while [ -e /log/pause ]; do sleep 0.05; done
}

# Needs no process of its own, as `sleep` would: nothing ever comes out of this pipe.
rest() { read -r -t "$REST" <>"$pipes/nothing"; }

pipes=$(mktemp -d)
mkfifo "$pipes/to" "$pipes/from" "$pipes/nothing"
while :; do
  connect
  if ask "SELECT COALESCE(MAX(n), 0) FROM numbered;" && [[ $answer =~ ^[0-9]+$ ]]; then
    tell "connected $answer"
    next=$((answer + 1))
    while ask "INSERT INTO numbered VALUES ($next); SELECT $next;" && [ "$answer" = "$next" ]; do
      tell "$next"
      next=$((next + 1))
      [ -z "${REST:-}" ] || rest
      [ ! -e /log/pause ] || pause
    done
  fi
  while IFS= read -r -t 0.2 more <&4; do answer+=" $more"; done
  tell "lost $answer"
  disconnect
  sleep 0.1
done
