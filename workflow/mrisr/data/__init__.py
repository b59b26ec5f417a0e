"""Which subjects there are and where their raw scans lie or come from."""
