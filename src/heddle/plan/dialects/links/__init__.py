"""The links dialect: nodes and the links between them, as TaskBench writes them."""
