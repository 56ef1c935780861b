"""Between the journal and the venues: what is open, what has to be asked, and the way of reports back."""
