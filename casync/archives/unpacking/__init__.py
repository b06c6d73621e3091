"""Takes archives apart in one pass: members with all that is known of them, and their bytes."""
