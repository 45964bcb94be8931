"""The people who log in: the user model and the pages for logging in and for passwords."""
