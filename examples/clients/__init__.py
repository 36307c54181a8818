"""Real clients against Catena, each with the configuration that its users would write; see docs/clients.md."""
