"""The whole system under load: from the request topic to committed results, beside the engine alone."""
