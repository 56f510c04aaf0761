package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/server"
)

const (
	version = "8.4.8-8.1"
	// Where the operator mounts the passwords of its users, a file each.
	passwords = "/etc/mysql/mysql-users-secret"
	// And the options of the server.
	options = "/etc/percona-xtradb-cluster.conf.d/init.cnf"
	// What every server says that it has executed: it holds no data, and so none lacks any.
	executed = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"
)

// serve answers on the ports until one fails.
func serve(hostname string, ports ...string) error {
	protocol := server.NewServer(version, mysql.DEFAULT_COLLATION_ID, mysql.AUTH_NATIVE_PASSWORD, nil, nil)
	database := &database{
		hostname: hostname, started: time.Now(), scheduler: "ON", mark: "0", running: map[string]bool{}, hosts: map[string]string{},
	}
	if text, err := os.ReadFile(options); err == nil {
		if strings.Contains(string(text), "\nread_only=ON\n") {
			database.readOnly = 1
		}
		if strings.Contains(string(text), "\nevent_scheduler=OFF\n") {
			database.scheduler = "OFF"
		}
	}
	return listen(ports, func(connection net.Conn, port string) { converse(connection, port, protocol, database) })
}

// listen hands over each connection to one of the ports, with the port, until a port fails.
func listen(ports []string, take func(connection net.Conn, port string)) error {
	failed := make(chan error)
	for _, port := range ports {
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return err
		}
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					failed <- err
					return
				}
				go take(connection, port)
			}
		}()
	}
	return <-failed
}

// converse answers one client until it leaves.
func converse(connection net.Conn, port string, protocol *server.Server, database *database) {
	session := &session{database: database}
	client, err := protocol.NewCustomizedConn(connection, users{}, session)
	if err != nil {
		return // a probe, or a wrong password
	}
	session.who = client.GetUser() + "@" + port
	for client.HandleCommand() == nil && !client.Closed() {
	}
}

// users are those that the operator made.
type users struct{}

func (users) CheckUsername(name string) (bool, error) {
	_, found, err := users{}.GetCredential(name)
	return found, err
}

func (users) GetCredential(name string) (string, bool, error) {
	password, err := os.ReadFile(filepath.Join(passwords, filepath.Base(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return string(password), err == nil, err
}

// session is what one client says.
type session struct {
	server.EmptyHandler
	database *database
	who      string
}

func (*session) UseDB(string) error { return nil }

func (s *session) HandleQuery(query string) (*mysql.Result, error) {
	statement := strings.Join(strings.Fields(query), " ")
	fmt.Printf("%s> %s\n", s.who, statement)
	return s.database.execute(statement)
}

// database is what the operator changes and asks for: no more than that.
type database struct {
	hostname string
	started  time.Time

	lock      sync.Mutex
	readOnly  int
	scheduler string
	mark      string // the size of dcmesh's key cache
	sources   []source
	running   map[string]bool   // by channel
	hosts     map[string]string // that a channel was last told to follow
}

var sourceHost = regexp.MustCompile(`SOURCE_HOST='([^']*)'`)

type source struct{ channel, host, port, weight string }

func (d *database) execute(statement string) (*mysql.Result, error) {
	d.lock.Lock()
	defer d.lock.Unlock()
	for _, known := range knownStatements {
		if words := known.pattern.FindStringSubmatch(strings.TrimSuffix(statement, ";")); words != nil {
			return known.execute(d, words[1:])
		}
	}
	fmt.Println("the stand-in does not know this statement")
	return nil, mysql.NewDefaultError(mysql.ER_PARSE_ERROR, "the stand-in does not know", statement, 1)
}

type known struct {
	pattern *regexp.Regexp
	execute func(d *database, words []string) (*mysql.Result, error)
}

func on(pattern string, execute func(d *database, words []string) (*mysql.Result, error)) known {
	return known{regexp.MustCompile("(?i)^" + pattern + "$"), execute}
}

// knownStatements are those of the operator 1.20: pkg/pxc/queries and pkg/pxc/users of its source.
var knownStatements = []known{
	on(`SELECT @@hostname hostname`, func(d *database, _ []string) (*mysql.Result, error) {
		return rows([]string{"hostname"}, []any{d.hostname})
	}),
	on(`SELECT @@version`, func(*database, []string) (*mysql.Result, error) {
		return rows([]string{"@@version"}, []any{version})
	}),
	on(`SELECT @@read_only`, func(d *database, _ []string) (*mysql.Result, error) {
		return rows([]string{"@@read_only"}, []any{d.readOnly})
	}),
	on(`SET GLOBAL READ_ONLY=([01])`, func(d *database, words []string) (*mysql.Result, error) {
		d.readOnly = int(words[0][0] - '0')
		return nil, nil
	}),
	on(`SHOW VARIABLES LIKE '(authentication_policy)'`, func(_ *database, words []string) (*mysql.Result, error) {
		return rows([]string{"Variable_name", "Value"}, []any{words[0], "caching_sha2_password,,"})
	}),
	on(`SHOW GLOBAL STATUS LIKE '(wsrep_local_state_comment)'`, func(_ *database, words []string) (*mysql.Result, error) {
		return rows([]string{"Variable_name", "Value"}, []any{words[0], "Synced"})
	}),
	on(`SELECT User_attributes FROM mysql\.user .*`, func(*database, []string) (*mysql.Result, error) {
		return rows([]string{"User_attributes"}, []any{nil})
	}),
	on(`(?:/\*!\d+ )?(?:CREATE USER|ALTER USER|GRANT|FLUSH PRIVILEGES|START TRANSACTION|COMMIT)\b.*`, done),
	on(`SELECT DISTINCT\(Channel_name\) from replication_asynchronous_connection_failover`, channels),
	on(`SELECT host, port, weight FROM replication_asynchronous_connection_failover WHERE channel_name = '(.*)'`, sources),
	on(`SELECT asynchronous_connection_failover_add_source\('(.*)', '(.*)', (\d+), null, (\d+)\)`, addSource),
	on(`SELECT asynchronous_connection_failover_delete_source\('(.*)', '(.*)', (\d+), null\)`, deleteSource),
	on(`CHANGE REPLICATION SOURCE TO (.*) FOR CHANNEL '(.*)'`, func(d *database, words []string) (*mysql.Result, error) {
		d.running[words[1]] = d.running[words[1]]
		if host := sourceHost.FindStringSubmatch(words[0]); host != nil {
			d.hosts[words[1]] = host[1]
		}
		return nil, nil
	}),
	on(`START REPLICA(?: IO_THREAD)? FOR CHANNEL '(.*)'`, func(d *database, words []string) (*mysql.Result, error) {
		return d.run(words[0], true)
	}),
	on(`STOP REPLICA(?: IO_THREAD)? FOR CHANNEL '(.*)'`, func(d *database, words []string) (*mysql.Result, error) {
		return d.run(words[0], false)
	}),
	on(`STOP REPLICA`, func(d *database, _ []string) (*mysql.Result, error) {
		for channel := range d.running {
			d.running[channel] = false
		}
		return nil, nil
	}),
	on(`SHOW REPLICA STATUS FOR CHANNEL '(.*)'`, replicaStatus),
	// From here on dcmesh's, not the operator's.
	on(`SELECT @@GLOBAL\.read_only AS Read_Only, @@GLOBAL\.dcmesh_replica\.key_buffer_size = (\d+) AS Replica`,
		func(d *database, words []string) (*mysql.Result, error) {
			return rows([]string{"Read_Only", "Replica"}, []any{d.readOnly, map[string]int{d.mark: 1}[words[0]]})
		}),
	on(`SELECT @@GLOBAL\.read_only AS Read_Only, @@GLOBAL\.event_scheduler AS Events, `+
		`@@GLOBAL\.dcmesh_replica\.key_buffer_size AS Mark`,
		func(d *database, _ []string) (*mysql.Result, error) {
			return rows([]string{"Read_Only", "Events", "Mark"}, []any{d.readOnly, d.scheduler, d.mark})
		}),
	on(`SELECT @@GLOBAL\.dcmesh_replica\.key_buffer_size AS Value`, func(d *database, _ []string) (*mysql.Result, error) {
		return rows([]string{"Value"}, []any{d.mark})
	}),
	on(`SET GLOBAL dcmesh_replica\.key_buffer_size = (\d+)`, func(d *database, words []string) (*mysql.Result, error) {
		d.mark = words[0]
		return nil, nil
	}),
	on(`SET GLOBAL dcmesh_replica\.key_buffer_size = IF\(@@GLOBAL\.dcmesh_replica\.key_buffer_size = (\d+), (\d+), @@GLOBAL\.dcmesh_replica\.key_buffer_size\)`,
		func(d *database, words []string) (*mysql.Result, error) {
			if d.mark == words[0] {
				d.mark = words[1]
			}
			return nil, nil
		}),
	on(`SET GLOBAL event_scheduler = (ON|OFF)`, func(d *database, words []string) (*mysql.Result, error) {
		d.scheduler = words[0]
		return nil, nil
	}),
	on(`SELECT @@GLOBAL\.event_scheduler = 'ON' AS Value`, func(d *database, _ []string) (*mysql.Result, error) {
		return rows([]string{"Value"}, []any{map[string]int{"ON": 1}[d.scheduler]})
	}),
	on(`SELECT @@server_id AS Value`, func(*database, []string) (*mysql.Result, error) {
		return rows([]string{"Value"}, []any{1})
	}),
	on(`SELECT COUNT\(\*\) AS Value FROM information_schema\.EVENTS WHERE .*`, func(*database, []string) (*mysql.Result, error) {
		return rows([]string{"Value"}, []any{0})
	}),
	on(`SHOW GLOBAL STATUS LIKE '(Uptime)'`, func(d *database, words []string) (*mysql.Result, error) {
		return rows([]string{"Variable_name", "Value"}, []any{words[0], int(time.Since(d.started).Seconds())})
	}),
	on(`SHOW REPLICA STATUS`, allReplicaStatus),
	on(`SELECT REPLACE\(@@GLOBAL\.gtid_executed, CHAR\(10\), ''\) AS Gtid_Position, @@GLOBAL\.read_only AS Read_Only`,
		func(d *database, _ []string) (*mysql.Result, error) {
			return rows([]string{"Gtid_Position", "Read_Only"}, []any{executed, d.readOnly})
		}),
	on(`SELECT REPLACE\(@@GLOBAL\.gtid_executed, CHAR\(10\), ''\) AS Value`, func(*database, []string) (*mysql.Result, error) {
		return rows([]string{"Value"}, []any{executed})
	}),
	on(`SELECT WAIT_FOR_EXECUTED_GTID_SET\(RECEIVED_TRANSACTION_SET, \d+\) AS Value `+
		`FROM performance_schema\.replication_connection_status WHERE CHANNEL_NAME = '(.*)'`,
		func(*database, []string) (*mysql.Result, error) { return rows([]string{"Value"}, []any{0}) }),
	on(`SELECT WAIT_FOR_EXECUTED_GTID_SET\('(.*)', \d+\) AS Value`, func(*database, []string) (*mysql.Result, error) {
		return rows([]string{"Value"}, []any{0})
	}),
	on(`SELECT REPLACE\(GTID_SUBTRACT\('(.*)', @@GLOBAL\.gtid_executed\), CHAR\(10\), ''\) AS Value`,
		func(*database, []string) (*mysql.Result, error) {
			return rows([]string{"Value"}, []any{""})
		}),
	on(`RESET REPLICA ALL FOR CHANNEL '(.*)'`, func(d *database, words []string) (*mysql.Result, error) {
		if _, known := d.running[words[0]]; !known {
			return noChannel(words[0])
		}
		delete(d.running, words[0])
		return nil, nil
	}),
}

func done(*database, []string) (*mysql.Result, error) { return nil, nil }

func channels(d *database, _ []string) (*mysql.Result, error) {
	var found [][]any
	seen := map[string]bool{}
	for _, s := range d.sources {
		if !seen[s.channel] {
			found = append(found, []any{s.channel})
		}
		seen[s.channel] = true
	}
	return rows([]string{"Channel_name"}, found...)
}

func sources(d *database, words []string) (*mysql.Result, error) {
	var found [][]any
	for _, s := range d.sources {
		if s.channel == words[0] {
			found = append(found, []any{s.host, s.port, s.weight})
		}
	}
	return rows([]string{"host", "port", "weight"}, found...)
}

func addSource(d *database, words []string) (*mysql.Result, error) {
	d.sources = append(d.sources, source{words[0], words[1], words[2], words[3]})
	return rows([]string{"result"}, []any{"The UDF asynchronous_connection_failover_add_source() executed successfully."})
}

func deleteSource(d *database, words []string) (*mysql.Result, error) {
	var left []source
	for _, s := range d.sources {
		if s.channel != words[0] || s.host != words[1] || s.port != words[2] {
			left = append(left, s)
		}
	}
	d.sources = left
	return rows([]string{"result"}, []any{"The UDF asynchronous_connection_failover_delete_source() executed successfully."})
}

func (d *database) run(channel string, running bool) (*mysql.Result, error) {
	if _, known := d.running[channel]; !known {
		return noChannel(channel)
	}
	d.running[channel] = running
	return nil, nil
}

func replicaStatus(d *database, words []string) (*mysql.Result, error) {
	running, known := d.running[words[0]]
	if !known {
		return noChannel(words[0])
	}
	thread := map[bool]string{true: "Yes", false: "No"}[running]
	return rows([]string{"Replica_IO_Running", "Replica_SQL_Running", "Last_Errno"}, []any{thread, thread, "0"})
}

// allReplicaStatus tells of each channel that it follows the source which it was last told to, if that answers.
func allReplicaStatus(d *database, _ []string) (*mysql.Result, error) {
	columns := []string{
		"Source_Host", "Replica_IO_Running", "Replica_SQL_Running", "Seconds_Behind_Source", "Last_IO_Errno", "Last_IO_Error",
		"Last_SQL_Errno", "Last_SQL_Error", "Retrieved_Gtid_Set",
	}
	var found [][]any
	for channel, running := range d.running {
		receives, applies, behind, number, reason := "No", "No", any(nil), "0", ""
		if running && greets(d.hosts[channel]) {
			receives, applies, behind = "Yes", "Yes", "0"
		} else if running {
			receives, applies, number, reason = "Connecting", "Yes", "2003", "the source does not answer"
		}
		found = append(found, []any{d.hosts[channel], receives, applies, behind, number, reason, "0", "", executed})
	}
	return rows(columns, found...)
}

// greets tells whether a server answers at a host: a proxy on the way takes any connection.
func greets(host string) bool {
	connection, err := net.DialTimeout("tcp", net.JoinHostPort(host, "3306"), time.Second)
	if err != nil {
		return false
	}
	defer connection.Close()
	connection.SetReadDeadline(time.Now().Add(time.Second))
	_, err = connection.Read(make([]byte, 1))
	return err == nil
}

func noChannel(channel string) (*mysql.Result, error) {
	const replicaChannelDoesNotExist = 3074
	return nil, mysql.NewError(replicaChannelDoesNotExist, fmt.Sprintf("Replica channel '%s' does not exist.", channel))
}

func rows(columns []string, values ...[]any) (*mysql.Result, error) {
	set, err := mysql.BuildSimpleTextResultset(columns, values)
	if err != nil {
		return nil, err
	}
	return mysql.NewResult(set), nil
}
