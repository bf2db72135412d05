"""The delays between polls: backoffs, what was learned of when tasks end, and when rounds come."""
