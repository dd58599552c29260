"""Network architectures, one module each, built so that published weights load strictly. Only stages import these."""
