"""What a few words mean among many names: kinds of problem, answers, offices. Pure."""
