"""The first copy of a replica: a backup and a dump through dcmesh, beside a backup and bare bytes by plain TCP."""
