"""Jobs: what is asked, where it stands, who works on it."""
