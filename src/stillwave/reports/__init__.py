"""Tables, figures and pages that several commands share."""
