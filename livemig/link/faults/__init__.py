"""What may happen to frames on their way, one fault a file: pure, in Toxiproxy's words. Start with ``passage``."""
