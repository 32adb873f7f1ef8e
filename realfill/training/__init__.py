"""Fine-tuning on references and target (§3.4, §4.2): train, loss, batches."""
