"""The reference of all options, written from the code that reads them."""
