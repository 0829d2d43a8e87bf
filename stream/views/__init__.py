"""What people see: drawing over a picture, and windows. A view judges nothing and holds nobody up."""
