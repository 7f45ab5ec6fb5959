"""What people and machines see of a judgement: tables, JSON, SARIF, annotations, pages."""
