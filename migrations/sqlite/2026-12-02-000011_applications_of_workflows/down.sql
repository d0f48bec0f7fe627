DROP TABLE chrono_forge_applications;
