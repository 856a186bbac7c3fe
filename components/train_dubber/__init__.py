"""The component train_dubber."""
