"""What commonly breaks the chain from configuration to broker, checked before money is at stake."""
