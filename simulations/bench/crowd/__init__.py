"""The crowd bench: real nodes, thousands of lean clients from outside, and what those clients see."""
