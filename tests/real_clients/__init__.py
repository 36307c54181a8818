"""What real clients sent, recorded and sent again: `make test` guards what they need without installing them."""
