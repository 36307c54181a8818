"""The statements of the index of words, which is no part of the database."""
