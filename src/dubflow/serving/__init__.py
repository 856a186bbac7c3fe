"""What runs inside and around Triton: export, launcher, watchdog, client."""
