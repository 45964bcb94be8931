"""Each fault, on each broker, under plain tasks and under jobs of the ledger: what is lost, what is worked twice."""
