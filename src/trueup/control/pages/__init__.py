"""What people see: each page reads what it shows, and hands a form to the service that decides."""
