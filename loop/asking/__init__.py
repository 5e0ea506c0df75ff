"""The active half of the loop: which drawings to ask about, of whom, and what an answer becomes."""
