"""What reports share: numbers as text, tables, figures and HTML pages."""
