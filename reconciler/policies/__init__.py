"""Admission policies of Kubernetes, judged without a cluster; pure.

The same files work as `kubectl apply -f policies/` and here: `documents` reads them, `judge`
decides as the API server does, `manifests` takes an ingress repository through it. `library`
holds what Kubernetes adds to CEL, `cel` the evaluator, `sources` reads files (that one does I/O).
"""
