"""From a recipe to a finished dataset: plan, pass, ledger, executors."""
