"""The values that stages hand to each other; pure, frozen, hashable where they are keys."""
