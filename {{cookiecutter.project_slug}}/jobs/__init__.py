"""Sample tasks and the page that sends one. README.md says how to delete them."""
