"""RealBench and anything laid out like it: pictures of many methods, scores, the paper's tables, a report."""
