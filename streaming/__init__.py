"""The streaming runtime: thin Faust shells that move messages and call one `trading` function each."""
