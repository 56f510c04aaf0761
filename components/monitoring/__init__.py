"""What lets Prometheus and Grafana watch a site: what is scraped, the rules, the dashboard."""
