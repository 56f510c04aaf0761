# What the pods that serve a backup, fetch it and make data of it share: docs/decisions/0045.
COMPLETE=dcmesh-complete # the file that ends a backup which is whole
PREPARED=dcmesh-prepared # that of one of which data are made, with the GTIDs up to where it is

# Prints what proves that a user's password is known to who was given a number of 64 hex digits: NUMBER USER.
proof() {
  local sum
  sum=$(printf %s "$1" | cat - "/etc/dcmesh/passwords/$2" | sha256sum)
  echo "${sum:0:64}"
}

# Sets `series`, such as 10.11, to that of the image.
series() {
  [[ $(mariadbd --version) =~ Ver\ ([0-9]{1,2}\.[0-9]{1,2})\. ]]
  series=${BASH_REMATCH[1]}
}
