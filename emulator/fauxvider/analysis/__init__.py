"""What a journal tells: verdicts on the client, doubled charges, near misses, the timeline page. Pure."""
