"""What a deployment is made of: planned, compared with what exists, made, changed where that is safe, removed."""
