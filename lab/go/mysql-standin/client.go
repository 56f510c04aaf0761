package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/go-mysql-org/go-mysql/client"
)

// ask sends statements, and prints what comes back as the real client does by --vertical: a line a column.
func ask(arguments []string) error {
	flags := flag.NewFlagSet("mysql", flag.ContinueOnError)
	options := flags.String("defaults-extra-file", "", "")
	host := flags.String("host", "", "")
	user := flags.String("user", "", "")
	statements := flags.String("execute", "", "")
	flags.Bool("vertical", true, "")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	text, err := os.ReadFile(*options)
	if err != nil {
		return err
	}
	password := regexp.MustCompile(`password="(.*)"`).FindSubmatch(text)
	if password == nil {
		return fmt.Errorf("no password in %s", *options)
	}
	connection, err := client.Connect(net.JoinHostPort(*host, "3306"), *user, string(password[1]), "")
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("ERROR 2003 (HY000): Can't connect to MySQL server on '%s:3306' (111)", *host)
	}
	if err != nil {
		return err
	}
	defer connection.Close()
	for _, statement := range strings.Split(*statements, ";") {
		if statement = strings.TrimSpace(statement); statement == "" {
			continue
		}
		if err := show(connection, statement); err != nil {
			return err
		}
	}
	return nil
}

func show(connection *client.Conn, statement string) error {
	result, err := connection.Execute(statement)
	if err != nil {
		return err
	}
	defer result.Close()
	if result.Resultset == nil {
		return nil // a statement that is no question
	}
	for row := range result.RowNumber() {
		fmt.Printf("*************************** %d. row ***************************\n", row+1)
		for column, field := range result.Fields {
			value, err := result.GetString(row, column)
			if err != nil {
				return err
			}
			fmt.Printf("%s: %s\n", field.Name, value)
		}
	}
	return nil
}
