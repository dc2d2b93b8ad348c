"""Picture files: how they are opened, and how what they hold becomes pixels."""
