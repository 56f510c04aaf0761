/*
 * What Percona's operator and its scripts ask of Galera, answered in a MySQL that has none.
 *
 * A plugin of mysqld. Its structures are those of MySQL's plugin interface, version 1, written down here because
 * Debian has no header for them. It says it is a parser for full texts, a kind whose interface has not changed since
 * 5.1, and parses nothing.
 */

enum { GLOBAL = 1 };                                                   /* scope of a status variable */
enum { IS_CHAR = 5, IS_ARRAY = 7, IS_FUNCTION = 8 };                   /* its type */
enum { BOOL = 1, INT = 2, STRING = 5, SESSION = 0x100, READ_ONLY = 0x200 }; /* flags of a system variable */
enum { FULL_TEXT_PARSER = 2, GPL = 1 };

struct status { const char *name; const void *value; int type; int scope; };

#define VARIABLE int flags; const char *name; const char *comment; void *check; void *update
struct global_string { VARIABLE; char **value; char *start; };
struct global_bool { VARIABLE; _Bool *value; _Bool start; };
struct global_int { VARIABLE; int *value; int start, least, most, step; };
struct session_bool { VARIABLE; int offset; _Bool start; void *resolve; };
struct session_int { VARIABLE; int offset; int start, least, most, step; void *resolve; };

struct parser { int version; void *parse, *begin, *end; };
struct plugin {
  int type; const void *what; const char *name, *author, *description; int license;
  void *begin, *check_uninstall, *end; unsigned version; const void *status, *variables, *reserved; unsigned long flags;
};

/* Galera's own numbers: 1 while a node joins, 4 when it has what the others have. pxc-entrypoint.sh sets it. */
static int state = 1;

static int local_state(void *session, struct status *shown, char *value) {
  value[0] = (char)('0' + state), value[1] = 0;
  shown->type = IS_CHAR, shown->value = value;
  return 0;
}

static int local_state_comment(void *session, struct status *shown, char *value) {
  shown->type = IS_CHAR, shown->value = state == 4 ? "Synced" : "Joining";
  return 0;
}

/* As in XtraDB they are shown in this order, not in that of their names: the scripts count on it. */
static const struct status of_wsrep[] = {
  {"local_state", local_state, IS_FUNCTION, GLOBAL},
  {"local_state_comment", local_state_comment, IS_FUNCTION, GLOBAL},
  {"cluster_status", "Primary", IS_CHAR, GLOBAL},
  {0},
};
static const struct status all_status[] = {{"wsrep", of_wsrep, IS_ARRAY, GLOBAL}, {0}};

static char *rejects, *maintenance;
static _Bool rejected_by_donor;

static struct global_int standin_state = {INT, "standin_state", "wsrep_local_state", 0, 0, &state, 1, 1, 4, 0};
static struct global_string reject = {STRING | READ_ONLY, "reject_queries", "", 0, 0, &rejects, "NONE"};
static struct global_bool donor = {BOOL | READ_ONLY, "sst_donor_rejects_queries", "", 0, 0, &rejected_by_donor, 0};
static struct session_int wait = {INT | SESSION, "sync_wait", "", 0, 0, -1, 0, 0, 15, 0, 0};
static struct session_bool on = {BOOL | SESSION, "on", "", 0, 0, -1, 1, 0};
static struct global_string maint = {STRING | READ_ONLY, "maint_mode", "", 0, 0, &maintenance, "DISABLED"};

static void *of_plugin_wsrep[] = {&standin_state, &reject, &donor, &wait, &on, 0};
static void *of_plugin_pxc[] = {&maint, 0};

static const struct parser parser = {0x101, 0, 0, 0};

int _mysql_plugin_interface_version_ = 0x100;
int _mysql_sizeof_struct_st_plugin_ = sizeof(struct plugin);
struct plugin _mysql_plugin_declarations_[] = {
  {FULL_TEXT_PARSER, &parser, "wsrep", "dcmesh's lab", "stands in for Galera", GPL, 0, 0, 0, 1, all_status, of_plugin_wsrep, 0, 0},
  {FULL_TEXT_PARSER, &parser, "pxc", "dcmesh's lab", "stands in for Galera", GPL, 0, 0, 0, 1, 0, of_plugin_pxc, 0, 0},
  {0},
};
