"""Questions, answers and policies: the database half of asking."""
