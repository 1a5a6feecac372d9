"""Namespaces as this program makes them: guarded, limited, closed to the network unless a flow is declared."""
